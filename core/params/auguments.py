"""Pure. What is done to images: `Auguments` (auguments.yaml), preprocessing and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Strict, WithJsonSchema, field_validator

from core.errors import InvalidInput
from core.params.fields import N_, Group, group, param


def _numbers(field: str, low: float, high: float) -> AfterValidator:
    def inside(value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(low <= number <= high for number in value):
            raise InvalidInput(
                "“{field}” is {value}; each of the three must be between {low:g} and {high:g}.",
                field=field,
                value=list(value),
                low=low,
                high=high,
            )
        return value

    return AfterValidator(inside)


def _three(low: float, high: float) -> WithJsonSchema:
    number = {"type": "number", "minimum": low, "maximum": high}
    return WithJsonSchema({"type": "array", "items": number, "minItems": 3, "maxItems": 3})


STEPS = ("denoise", "sharpen")
"""Further steps by name, each a module of `jobs.vision.steps`."""


class Clahe(Group):
    enabled: bool = param(
        False,
        N_("On"),
        N_("Evens out brightness part by part, for images that are dark here and bright there."),
    )
    limit: float = param(
        2.0,
        N_("Limit"),
        N_("How much contrast may grow; small values bring out less noise."),
        low=1.0,
        high=10.0,
        step=0.5,
    )
    tiles: int = param(
        8, N_("Parts"), N_("Into how many parts each side is divided."), low=2, high=16, step=1
    )  # fmt: skip


class Patching(Group):
    enabled: bool = param(
        False,
        N_("On"),
        N_(
            "Cuts each image into squares that the network sees one by one, for small things in large images. A "
            "training step sees one of them, chosen anew in every epoch."
        ),
    )
    size: int = param(
        64,
        N_("Side"),
        N_("Side of a patch; at most the image size."),
        unit=N_("pixels"),
        low=32,
        high=512,
        step=32,
    )
    stride: int = param(
        64,
        N_("Distance"),
        N_("How far one patch begins after the other; less than the side lets them overlap."),
        unit=N_("pixels"),
        low=8,
        high=512,
        step=8,
    )
    combine: Literal["mean", "vote"] = param(
        "mean",
        N_("Put together by"),
        N_("How the patches' answers become the image's."),
        choices={
            "mean": N_("The mean of their probabilities"),
            "vote": N_("A vote: each names its best label"),
        },
    )


class Preprocessing(Group):
    """Done to every image, in training and in use alike."""

    resize: Literal["letterbox", "crop", "stretch"] = param(
        "letterbox",
        N_("Bring to size by"),
        N_("How an image that is not square becomes square."),
        choices={
            "letterbox": N_("Adding bars: nothing is lost"),
            "crop": N_("Cutting off the longer sides"),
            "stretch": N_("Stretching: shapes change"),
        },
    )
    grayscale: bool = param(
        False, N_("Greyscale"), N_("Takes the colours away, for labels that colour says nothing about.")
    )
    equalize: bool = param(
        False, N_("Equalise"), N_("Evens out brightness, for images that are too dark or too pale.")
    )
    gamma: float = param(
        1.0,
        N_("Gamma"),
        N_("Below 1 brightens dark parts, above 1 darkens bright ones; 1 changes nothing."),
        low=0.2,
        high=5.0,
        step=0.1,
    )
    steps: str = param(
        "",
        N_("Further steps"),
        N_("Names of further steps in the order in which they are done, with commas: denoise, sharpen."),
    )
    normalize_mean: Annotated[
        tuple[float, float, float],
        Strict(False),
        _numbers("preprocessing.normalize_mean", 0.0, 1.0),
        _three(0.0, 1.0),
    ] = param(
        (0.485, 0.456, 0.406),
        N_("Mean colour"),
        N_("Red, green and blue (0 to 1) taken off each pixel; pre-trained weights expect these values."),
    )
    normalize_std: Annotated[
        tuple[float, float, float],
        Strict(False),
        _numbers("preprocessing.normalize_std", 0.01, 1.0),
        _three(0.01, 1.0),
    ] = param(
        (0.229, 0.224, 0.225),
        N_("Spread of colour"),
        N_("Red, green and blue (0.01 to 1) each pixel is divided by; keep the values of the weights."),
    )
    clahe: Clahe = group(Clahe, N_("CLAHE"), N_("Evens out brightness in each part of the image."))
    patching: Patching = group(Patching, N_("Patches"), N_("Cuts images into squares."))

    @field_validator("steps")
    @classmethod
    def _known_steps(cls, value: str) -> str:
        for name in names(value):
            if name not in STEPS:
                raise InvalidInput(
                    "“{field}” names “{name}”; known steps are: {known}.",
                    field="preprocessing.steps",
                    name=name[:40],
                    known=", ".join(STEPS),
                )
        return value


def names(steps: str) -> list[str]:
    """The names in `Preprocessing.steps`, in their order."""
    return [name.strip() for name in steps.split(",") if name.strip()]


_PROBABILITY = N_("How often it is done: 0.5 is every second image.")


def _switch(default: bool, description: str) -> bool:
    on: bool = param(default, N_("On"), description)
    return on


def _probability(default: float) -> float:
    chance: float = param(default, N_("How often"), _PROBABILITY, low=0.0, high=1.0, step=0.05)
    return chance


class Flip(Group):
    enabled: bool = _switch(False, N_("Use it when a mirrored image would carry the same label."))
    probability: float = _probability(0.5)


class Rotation(Group):
    enabled: bool = _switch(True, N_("Turns images a little, so that the model does not mind how they hang."))
    degrees: float = param(
        10.0,
        N_("At most"),
        N_("The largest turn to either side."),
        unit=N_("degrees"),
        low=0.0,
        high=180.0,
        step=5.0,
    )


class Crop(Group):
    enabled: bool = _switch(True, N_("Cuts out and enlarges a random part of the image."))
    min_area: float = param(
        0.8,
        N_("Smallest part"),
        N_("The least share of the image's area that stays; 1 keeps everything."),
        low=0.1,
        high=1.0,
        step=0.05,
    )


class ColorJitter(Group):
    enabled: bool = _switch(True, N_("Changes the colours a little, as other light or another camera would."))
    brightness: float = param(
        0.2, N_("Brightness"), N_("Largest change of brightness; 0 is none."), low=0.0, high=1.0, step=0.05
    )
    contrast: float = param(
        0.2, N_("Contrast"), N_("Largest change of contrast; 0 is none."), low=0.0, high=1.0, step=0.05
    )
    saturation: float = param(
        0.2, N_("Saturation"), N_("Largest change of saturation; 0 is none."), low=0.0, high=1.0, step=0.05
    )
    hue: float = param(
        0.0, N_("Hue"), N_("Largest turn of the colour circle; 0 is none."), low=0.0, high=0.5, step=0.01
    )


class Blur(Group):
    enabled: bool = _switch(False, N_("Blurs some images, as a camera out of focus would."))
    probability: float = _probability(0.2)
    sigma: float = param(
        1.0,
        N_("Strength"),
        N_("The strongest blur."),
        unit=N_("pixels"),
        low=0.1,
        high=10.0,
        step=0.1,
    )


class Zoom(Group):
    enabled: bool = _switch(False, N_("Shows things smaller or larger, as from farther away or nearer."))
    smallest: float = param(
        0.8,
        N_("Smallest"),
        N_("How small the image may become; 1 is its own size, the rest is filled from its edge."),
        low=0.25,
        high=1.0,
        step=0.05,
    )
    largest: float = param(
        1.25,
        N_("Largest"),
        N_("How large the image may become; what does not fit any more is cut off."),
        low=1.0,
        high=4.0,
        step=0.05,
    )


class Noise(Group):
    enabled: bool = _switch(False, N_("Adds grain to some images, as a camera in poor light would."))
    probability: float = _probability(0.2)
    strength: float = param(
        0.05,
        N_("Strength"),
        N_("The strongest grain, as a standard deviation on a scale from black 0 to white 1."),
        low=0.005,
        high=0.5,
        step=0.005,
    )


class Erasing(Group):
    enabled: bool = _switch(False, N_("Paints over a part of some images, so that no single spot decides."))
    probability: float = _probability(0.25)
    max_area: float = param(
        0.2,
        N_("Largest part"),
        N_("The largest share of the image that is painted over."),
        low=0.02,
        high=0.8,
        step=0.02,
    )


class TrivialAugment(Group):
    enabled: bool = _switch(
        False, N_("Does one random change of random strength to each image; strong, and needs no tuning.")
    )
    strength: int = param(
        31,
        N_("Strength"),
        N_("How many grades of strength there are to draw from; 31 is the method's own."),
        low=2,
        high=31,
        step=1,
    )


class RandAugment(Group):
    enabled: bool = _switch(
        False, N_("Does a few random changes of one strength to each image; stronger than TrivialAugment.")
    )
    changes: int = param(
        2,
        N_("Changes"),
        N_("How many changes are done to each image, one after the other."),
        low=1,
        high=5,
        step=1,
    )
    strength: int = param(
        9, N_("Strength"), N_("How strong each change is; 9 is the method's own."), low=0, high=30, step=1
    )


class MixUp(Group):
    enabled: bool = _switch(
        False, N_("Lays two images over each other and asks for both labels; helps where images are few.")
    )
    probability: float = param(
        0.5, N_("How often"), N_("The share of batches it is done to."), low=0.0, high=1.0, step=0.05
    )
    alpha: float = param(
        0.2,
        N_("Evenness"),
        N_("Small values show mostly one of the two images, 1 all mixtures as often."),
        low=0.05,
        high=5.0,
        step=0.05,
    )


class CutMix(Group):
    enabled: bool = _switch(
        False, N_("Puts a part of another image into each image and asks for both labels by their areas.")
    )
    probability: float = param(
        0.5, N_("How often"), N_("The share of batches it is done to."), low=0.0, high=1.0, step=0.05
    )
    alpha: float = param(
        1.0,
        N_("Evenness"),
        N_("Small values take very small or very large parts, 1 all sizes as often."),
        low=0.05,
        high=5.0,
        step=0.05,
    )


class Augmentation(Group):
    """Done to training images only, anew in every epoch."""

    horizontal_flip: Flip = group(Flip, N_("Mirror left and right"), N_("Swaps left and right."))
    vertical_flip: Flip = group(Flip, N_("Mirror top and bottom"), N_("Swaps top and bottom."))
    rotation: Rotation = group(Rotation, N_("Turn"), N_("Turns the image."))
    crop: Crop = group(Crop, N_("Cut out"), N_("Shows a part of the image."))
    zoom: Zoom = group(Zoom, N_("Resize"), N_("Makes the image smaller or larger within its frame."))
    color_jitter: ColorJitter = group(ColorJitter, N_("Colours"), N_("Changes the colours."))
    blur: Blur = group(Blur, N_("Blur"), N_("Blurs the image."))
    noise: Noise = group(Noise, N_("Noise"), N_("Adds grain."))
    erasing: Erasing = group(Erasing, N_("Paint over"), N_("Hides a part of the image."))
    trivial_augment: TrivialAugment = group(
        TrivialAugment, N_("TrivialAugment"), N_("One random change of random strength.")
    )
    rand_augment: RandAugment = group(
        RandAugment, N_("RandAugment"), N_("Several random changes of one strength.")
    )
    mixup: MixUp = group(MixUp, N_("MixUp"), N_("Mixes pairs of images and their labels."))
    cutmix: CutMix = group(
        CutMix, N_("CutMix"), N_("Puts parts of images into others and shares the labels.")
    )


class Auguments(Group):
    """auguments.yaml: what happens to an image before the network sees it."""

    schema_version: Literal[1] = 1
    preprocessing: Preprocessing = group(
        Preprocessing, N_("Preprocessing"), N_("Done to every image, in training and in use.")
    )
    augmentation: Augmentation = group(
        Augmentation,
        N_("Augmentation"),
        N_("Done to training images only, for more variety."),
    )
