"""What a person, a program and a CI system read of a run."""
