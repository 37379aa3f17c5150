"""What runs on the hosts. Standard library only, Python 3.9 and later; packed into one zipapp."""
