package hospital

// RegisterAll is what Register does with those whom it has found.
var RegisterAll = (*Outpatients).registerAll
