"""How a network learns: the loop, schedules, fine-tuning, frozen features. It knows no task."""
