"""A pretend Twilio for development and tests: reached only over HTTP, imports nothing else of ours."""
