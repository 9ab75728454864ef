"""The environments dev, test and prod: what each should run, its history, and drift from it."""
