"""The simulated Entra ID: consent, sign-in, tokens, and its errors."""
