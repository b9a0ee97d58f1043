"""What rounding costs and how it is bounded: the float reference, sensitivity, mixed precision, the constraint."""
