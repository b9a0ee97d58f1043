"""Short programs that run an exported file elsewhere: load it, prepare an image as in training, print labels."""
