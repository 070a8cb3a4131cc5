"""`python -m bemtevi`."""

from bemtevi.cli import main

main()
