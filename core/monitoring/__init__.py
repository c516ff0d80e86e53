"""What deployed models are asked and answer, minute by minute, and whether that still looks like the training."""
