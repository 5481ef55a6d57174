"""Published supernets made into packages of our own."""
