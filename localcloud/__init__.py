"""The local cloud: a simulated Microsoft 365, Azurite and a functions host. Development only, never deployed."""
