"""What dev, test and prod shall run, what they ran before, and what they do run."""
