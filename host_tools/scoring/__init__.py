"""Images through boards, each answer kept and compared."""
