"""From a consent link to an answer: the trip to Microsoft and back."""
