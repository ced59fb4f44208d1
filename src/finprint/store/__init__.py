"""What travels between the stages: tables and vectors."""
