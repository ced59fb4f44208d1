"""The task of telling classes: species, or the folders of any collection."""
