"""One outside thing per file; vendor SDKs are imported only here and in `shared.composition`."""
