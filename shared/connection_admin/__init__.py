"""What an administrator does with connections: make, look, change, try, delete."""
