"""What everything stands on: errors, files, progress, devices, checkpoints, commands, typed params."""
