"""The embedded model xpsr-s: small enough to ship in the package and to run on two CPU cores."""
