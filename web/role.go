package web

import "context"

// RoleName is a role as people read it: "Privacy officer" for privacy-officer.
func RoleName(ctx context.Context, role string) string { return Text(ctx, "role."+role) }
