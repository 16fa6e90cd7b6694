"""The infrastructure in Bicep, and a check of it that needs neither a network nor a compiler."""
