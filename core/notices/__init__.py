"""What happened, told to other programs and people: an outbox, webhooks and e-mail."""
