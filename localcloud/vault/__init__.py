"""The simulated Key Vault."""
