"""Pure. What can be set for a training: `Params` (params.yaml) and its groups."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import field_validator, model_validator

from core.errors import InvalidInput
from core.params.architectures import ARCHITECTURES
from core.params.fields import N_, Group, group, param

_WEIGHTS_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}\.(safetensors|ckpt)")


class ModelParams(Group):
    architecture: Literal[
        "resnet18",
        "resnet34",
        "resnet50",
        "efficientnet_b0",
        "efficientnet_v2_s",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "convnext_tiny",
        "vit_b_16",
        "swin_t",
        "small_cnn",
    ] = param(
        "resnet18",
        N_("Architecture"),
        N_("The kind of network; the small ones train fast, the large ones want more images."),
        choices={name: known.title for name, known in ARCHITECTURES.items()},
    )
    weights: str = param(
        "none",
        N_("Starting weights"),
        N_(
            "“none” starts from scratch and works offline, “default” downloads torchvision's pre-trained "
            "weights, or name a .safetensors file in the folder “weights” of the file store. A run's page takes "
            "those of a checkpoint."
        ),
    )

    @field_validator("weights")
    @classmethod
    def _known_weights(cls, value: str) -> str:
        if value not in ("none", "default") and not _WEIGHTS_FILE.fullmatch(value):
            raise InvalidInput(
                "“{field}” is “{value}”; write none, default, or the name of a .safetensors file "
                "in the folder “weights” of the file store.",
                field="model.weights",
                value=value[:80],
            )
        return value


class TrainingParams(Group):
    epochs: int = param(
        10,
        N_("Epochs"),
        N_("How many times the training looks at every image."),
        unit=N_("passes"),
        low=1,
        high=1000,
        step=1,
    )
    batch_size: int = param(
        64,
        N_("Batch size"),
        N_("How many images the network sees at once; halve it when memory runs out."),
        unit=N_("images"),
        low=2,
        high=1024,
        step=8,
    )
    learning_rate: float = param(
        0.001,
        N_("Learning rate"),
        N_("How far each step moves the weights; lower it when the loss jumps, raise it when nothing moves."),
        low=1e-6,
        high=1.0,
        step=0.0001,
    )
    optimizer: Literal["adamw", "adam", "sgd"] = param(
        "adamw",
        N_("Optimiser"),
        N_("The rule by which the weights are moved."),
        choices={
            "adamw": N_("AdamW – works well without tuning"),
            "adam": N_("Adam"),
            "sgd": N_("SGD with momentum – wants a learning rate about ten times higher"),
        },
    )
    weight_decay: float = param(
        0.01,
        N_("Weight decay"),
        N_("How strongly weights are pulled to zero, which keeps the model from learning images by heart."),
        low=0.0,
        high=1.0,
        step=0.01,
    )
    scheduler: Literal["none", "cosine", "step", "onecycle"] = param(
        "onecycle",
        N_("Learning rate schedule"),
        N_("How the learning rate changes during the training."),
        choices={
            "none": N_("Stays the same"),
            "cosine": N_("Falls along a cosine"),
            "step": N_("A tenth after each third of the epochs"),
            "onecycle": N_("Rises, then falls to almost nothing"),
        },
    )
    label_smoothing: float = param(
        0.0,
        N_("Label smoothing"),
        N_("How much doubt is added to the labels; a little helps when some labels may be wrong."),
        low=0.0,
        high=0.5,
        step=0.05,
    )
    class_weights: Literal["none", "balanced"] = param(
        "none",
        N_("Weights of the labels"),
        N_("Whether labels with few images count as much as those with many."),
        choices={
            "none": N_("Every image counts the same"),
            "balanced": N_("Every label counts the same"),
        },
    )
    freeze_epochs: int = param(
        0,
        N_("Backbone frozen for"),
        N_(
            "For so many epochs at first only the last layer learns, so that pre-trained weights are not "
            "spoilt; 0 lets everything learn from the start. Frozen for all epochs and without augmentation, "
            "an epoch takes hardly any time after the first."
        ),
        unit=N_("epochs"),
        low=0,
        high=1000,
        step=1,
    )
    layer_decay: float = param(
        1.0,
        N_("Layer-wise rate"),
        N_(
            "Each group of layers learns at this share of the rate of the one after it, which spares the first "
            "layers of pre-trained weights; 1 gives all the same."
        ),
        low=0.1,
        high=1.0,
        step=0.05,
    )
    ema_decay: float = param(
        0.0,
        N_("Averaged weights (EMA)"),
        N_(
            "The model that is measured and kept is a running average of the weights; 0.999 looks back about a "
            "thousand steps, 0 is off."
        ),
        low=0.0,
        high=0.9999,
        step=0.001,
    )
    seed: int = param(
        42,
        N_("Seed"),
        N_("The number all chance is derived from: the same seed gives the same model on the same machine."),
        low=0,
        high=2**31 - 1,
        step=1,
    )
    precision: Literal["auto", "fp32", "bf16"] = param(
        "auto",
        N_("Precision"),
        N_("The numbers used for computing; automatic takes the short ones where the processor gains."),
        choices={
            "auto": N_("Automatic"),
            "fp32": N_("32 bits – exact"),
            "bf16": N_("bfloat16 – faster on newer processors"),
        },
    )


class EarlyStoppingParams(Group):
    enabled: bool = param(
        True,
        N_("Stop early"),
        N_("Ends the training when it no longer gets better on the validation images."),
    )
    metric: Literal["valid_loss", "valid_accuracy", "valid_macro_f1"] = param(
        "valid_loss",
        N_("Measured by"),
        N_("The figure that says which epoch was best, with or without early stopping."),
        choices={
            "valid_loss": N_("Loss on the validation images"),
            "valid_accuracy": N_("Accuracy on the validation images"),
            "valid_macro_f1": N_("Macro F1 on the validation images"),
        },
    )
    patience: int = param(
        5,
        N_("Patience"),
        N_("How many epochs without an improvement are waited for."),
        unit=N_("epochs"),
        low=1,
        high=100,
        step=1,
    )


class DataParams(Group):
    image_size: int = param(
        64,
        N_("Image size"),
        N_("Side of the square every image is brought to; larger shows more detail and takes longer."),
        unit=N_("pixels"),
        low=32,
        high=512,
        step=32,
    )
    workers: int = param(
        0,
        N_("Reading threads"),
        N_("How many threads read and decode images; 0 takes one for each processor core."),
        unit=N_("threads"),
        low=0,
        high=64,
        step=1,
    )
    keep_preprocessed: bool = param(
        False,
        N_("Keep prepared images"),
        N_(
            "Keeps every image as the network sees it in the folder “preprocessed” of the artifacts, so that the "
            "next training reads it quicker."
        ),
    )


class Params(Group):
    """params.yaml: how a model is trained."""

    schema_version: Literal[1] = 1
    model: ModelParams = group(ModelParams, N_("Model"), N_("What is trained."))
    training: TrainingParams = group(TrainingParams, N_("Training"), N_("How it is trained."))
    early_stopping: EarlyStoppingParams = group(
        EarlyStoppingParams, N_("Early stopping"), N_("When the training may end before its last epoch.")
    )
    data: DataParams = group(DataParams, N_("Data"), N_("How images are brought to the network."))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        size, architecture = self.data.image_size, self.model.architecture
        multiple = ARCHITECTURES[architecture].multiple
        if size % multiple:
            raise InvalidInput(
                "“{field}” is {value}, but {architecture} needs a multiple of {patch}; take {near}.",
                field="data.image_size",
                value=size,
                architecture=architecture,
                patch=multiple,
                near=max(round(size / multiple), 2) * multiple,
            )
        if self.model.weights == "default" and not ARCHITECTURES[architecture].pretrained:
            raise InvalidInput(
                "“model.weights” is default, but there are no pre-trained weights of {architecture}; write none.",
                architecture=architecture,
            )
        return self
