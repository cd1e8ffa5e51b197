"""Twilio's door: answers what the carrier asks about live calls and takes in what it reports. No cookies, no pages."""
