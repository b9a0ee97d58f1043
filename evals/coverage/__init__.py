"""How many architectures of timm and torchvision come through as float TFLite and as int8 in both runtimes."""
