"""How figures look and become files, and templates of pages."""
