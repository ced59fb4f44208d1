"""The task of telling individuals apart: lessons, rounds, pseudo-labels."""
