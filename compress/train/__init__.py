"""The train room: fine-tune a published architecture on the user's images, or train it from scratch."""
