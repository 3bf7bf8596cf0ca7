"""The console of a VM in the browser: single-use tickets, and a WebSocket that carries the screen's protocol (RFB)."""
