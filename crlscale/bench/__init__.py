"""What this machine reaches, alone and beside other designs."""
