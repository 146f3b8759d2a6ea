"""Files of any origin: are they safe to ship, and why are they not smaller or faster?"""
