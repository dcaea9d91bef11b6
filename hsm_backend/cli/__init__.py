"""What people type at a unit host: `quorate unit ...` (`unit`), and what they read (`views`)."""
