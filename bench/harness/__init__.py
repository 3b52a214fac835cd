"""What every subject needs: servers, clients, the load, pairs of runs, and the page of results."""
