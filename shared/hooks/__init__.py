"""Hooks: webhooks that can set no headers, turned into mail by templates."""
