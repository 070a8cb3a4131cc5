"""Speed and memory of bemtevi, measured on real processes. See README.md."""
