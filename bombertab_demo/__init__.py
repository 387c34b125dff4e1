"""What geuwsgi shows people: for now a chat between browser tabs (see chat.py)."""
