package directory

// jobRoleCodes are national role-based access codes, as staff group, sub-group and job role, as far as they could be confirmed. A code that is
// not here is kept and shown as it is written.
func jobRoleCodes() []code { return jobRoles }

// JobRoleName is a national job role in words; empty for one that is not known here.
func JobRoleName(c string) string { return nameIn(jobRoles, c) }

var jobRoles = []code{
	{"S0010:G0020:R0260", "General Medical Practitioner", false},
	{"S8000:G8000:R8000", "Clinical Practitioner Access Role", false},
	{"S8000:G8000:R8001", "Nurse Access Role", false},
	{"S8000:G8000:R8002", "Nurse Manager Access Role", false},
	{"S8000:G8000:R8003", "Health Professional Access Role", false},
	{"S8000:G8000:R8004", "Healthcare Student Access Role", false},
	{"S8001:G8002:R8008", "Admin/Clinical Support Access Role", false},
	{"S8002:G8003:R0001", "Privacy Officer", false},
}
