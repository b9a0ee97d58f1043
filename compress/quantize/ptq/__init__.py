"""Post-training quantization: ranges, equalisation, bias correction and reconstruction from unlabelled images."""
