"""The train room: fine-tune a published architecture on the user's photographs, or train it from scratch."""
