"""What was asked for: command line, files and environment, checked."""
