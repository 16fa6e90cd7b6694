"""One script for each way of using another client, run by that client's own Python; they import nothing of ours."""
