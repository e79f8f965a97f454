package fhirpath

// function is what can be called: how it is evaluated, what it takes, and for checking what it needs and gives.
type function struct {
	eval        func(r *run, n *call, in []Value) error
	least, most int  // how many arguments
	loop        bool // the arguments are evaluated on each item of the input, not on the focus
	needs       need // what the input must be
	gives       func(c *checker, n *call, in static, args []static) static
	prepare     func(n *call) error // done once, when the expression is compiled
}

// need is what a function can work on.
type need uint8

const (
	needAnything need = iota
	needString
	needNumber
	needOrder // the order of the items matters
)

// many is a number of arguments without a bound to speak of.
const many = 64

// functions are all that can be called, in the order of the specification.
var functions = map[string]function{
	// existence (https://hl7.org/fhirpath/N1/#existence)
	"empty":      {eval: (*run).fnEmpty, gives: givesOne(typeBoolean)},
	"not":        {eval: (*run).fnNot, gives: givesOne(typeBoolean)},
	"exists":     {eval: (*run).fnExists, most: 1, loop: true, gives: givesOne(typeBoolean)},
	"all":        {eval: (*run).fnAll, least: 1, most: 1, loop: true, gives: givesOne(typeBoolean)},
	"allTrue":    {eval: fnBooleans(true, true), gives: givesOne(typeBoolean)},
	"anyTrue":    {eval: fnBooleans(true, false), gives: givesOne(typeBoolean)},
	"allFalse":   {eval: fnBooleans(false, true), gives: givesOne(typeBoolean)},
	"anyFalse":   {eval: fnBooleans(false, false), gives: givesOne(typeBoolean)},
	"subsetOf":   {eval: (*run).fnSubsetOf, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"supersetOf": {eval: (*run).fnSupersetOf, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"count":      {eval: (*run).fnCount, gives: givesOne(typeInteger)},
	"distinct":   {eval: (*run).fnDistinct, gives: givesSame},
	"isDistinct": {eval: (*run).fnIsDistinct, gives: givesOne(typeBoolean)},
	// filtering and projection
	"where":  {eval: (*run).fnWhere, least: 1, most: 1, loop: true, gives: givesFiltered},
	"select": {eval: (*run).fnSelect, least: 1, most: 1, loop: true, gives: givesSelected},
	"repeat": {eval: (*run).fnRepeat, least: 1, most: 1, loop: true, gives: givesRepeated},
	"ofType": {eval: (*run).fnOfType, gives: givesTyped},
	"sort":   {eval: (*run).fnSort, most: many, loop: true, gives: givesSorted},
	// subsetting
	"single":    {eval: (*run).fnSingle, gives: givesItem},
	"first":     {eval: (*run).fnFirst, needs: needOrder, gives: givesItem},
	"last":      {eval: (*run).fnLast, needs: needOrder, gives: givesItem},
	"tail":      {eval: (*run).fnTail, needs: needOrder, gives: givesSame},
	"skip":      {eval: (*run).fnSkip, least: 1, most: 1, needs: needOrder, gives: givesSame},
	"take":      {eval: (*run).fnTake, least: 1, most: 1, needs: needOrder, gives: givesSame},
	"intersect": {eval: (*run).fnIntersect, least: 1, most: 1, gives: givesSame},
	"exclude":   {eval: (*run).fnExclude, least: 1, most: 1, gives: givesSame},
	// combining
	"union":    {eval: (*run).fnUnion, least: 1, most: 1, gives: givesUnion},
	"combine":  {eval: (*run).fnCombine, least: 1, most: 2, gives: givesUnion},
	"coalesce": {eval: (*run).fnCoalesce, least: 1, most: many, gives: givesCoalesced},
	// conversion
	"iif":                {eval: (*run).fnIif, least: 2, most: 3, loop: true, gives: givesIif},
	"toBoolean":          {eval: fnTo(toBoolean), gives: givesOne(typeBoolean)},
	"toInteger":          {eval: fnTo(toInteger), gives: givesOne(typeInteger)},
	"toDecimal":          {eval: fnTo(toDecimal), gives: givesOne(typeDecimal)},
	"toDate":             {eval: fnTo(toDate), gives: givesOne(typeDate)},
	"toDateTime":         {eval: fnTo(toDateTime), gives: givesOne(typeDateTime)},
	"toTime":             {eval: fnTo(toTime), gives: givesOne(typeTime)},
	"toString":           {eval: fnTo(toString), gives: givesOne(typeString)},
	"toQuantity":         {eval: (*run).fnToQuantity, most: 1, gives: givesOne(typeQuantity)},
	"convertsToBoolean":  {eval: fnConverts(toBoolean), gives: givesOne(typeBoolean)},
	"convertsToInteger":  {eval: fnConverts(toInteger), gives: givesOne(typeBoolean)},
	"convertsToDecimal":  {eval: fnConverts(toDecimal), gives: givesOne(typeBoolean)},
	"convertsToDate":     {eval: fnConverts(toDate), gives: givesOne(typeBoolean)},
	"convertsToDateTime": {eval: fnConverts(toDateTime), gives: givesOne(typeBoolean)},
	"convertsToTime":     {eval: fnConverts(toTime), gives: givesOne(typeBoolean)},
	"convertsToString":   {eval: fnConverts(toString), gives: givesOne(typeBoolean)},
	"convertsToQuantity": {eval: (*run).fnConvertsToQuantity, most: 1, gives: givesOne(typeBoolean)},
	// strings
	"indexOf":        {eval: (*run).fnIndexOf, least: 1, most: 1, needs: needString, gives: givesOne(typeInteger)},
	"lastIndexOf":    {eval: (*run).fnLastIndexOf, least: 1, most: 1, needs: needString, gives: givesOne(typeInteger)},
	"substring":      {eval: (*run).fnSubstring, least: 1, most: 2, needs: needString, gives: givesOne(typeString)},
	"startsWith":     {eval: (*run).fnStartsWith, least: 1, most: 1, needs: needString, gives: givesOne(typeBoolean)},
	"endsWith":       {eval: (*run).fnEndsWith, least: 1, most: 1, needs: needString, gives: givesOne(typeBoolean)},
	"contains":       {eval: (*run).fnContains, least: 1, most: 1, needs: needString, gives: givesOne(typeBoolean)},
	"upper":          {eval: (*run).fnUpper, needs: needString, gives: givesOne(typeString)},
	"lower":          {eval: (*run).fnLower, needs: needString, gives: givesOne(typeString)},
	"replace":        {eval: (*run).fnReplace, least: 2, most: 2, needs: needString, gives: givesOne(typeString)},
	"matches":        {eval: (*run).fnMatches, least: 1, most: 1, needs: needString, gives: givesOne(typeBoolean), prepare: preparePattern},
	"matchesFull":    {eval: (*run).fnMatches, least: 1, most: 1, needs: needString, gives: givesOne(typeBoolean), prepare: preparePattern},
	"replaceMatches": {eval: (*run).fnReplaceMatches, least: 2, most: 2, needs: needString, gives: givesOne(typeString), prepare: preparePattern},
	"length":         {eval: (*run).fnLength, needs: needString, gives: givesOne(typeInteger)},
	"toChars":        {eval: (*run).fnToChars, needs: needString, gives: givesMany(typeString)},
	"encode":         {eval: (*run).fnEncode, least: 1, most: 1, needs: needString, gives: givesOne(typeString)},
	"decode":         {eval: (*run).fnDecode, least: 1, most: 1, needs: needString, gives: givesOne(typeString)},
	"escape":         {eval: (*run).fnEscape, least: 1, most: 1, needs: needString, gives: givesOne(typeString)},
	"unescape":       {eval: (*run).fnUnescape, least: 1, most: 1, needs: needString, gives: givesOne(typeString)},
	"trim":           {eval: (*run).fnTrim, needs: needString, gives: givesOne(typeString)},
	"split":          {eval: (*run).fnSplit, least: 1, most: 1, needs: needString, gives: givesMany(typeString)},
	"join":           {eval: (*run).fnJoin, most: 1, needs: needString, gives: givesOne(typeString)},
	// mathematics
	"abs":      {eval: (*run).fnAbs, needs: needNumber, gives: givesItem},
	"ceiling":  {eval: (*run).fnCeiling, needs: needNumber, gives: givesOne(typeInteger)},
	"floor":    {eval: (*run).fnFloor, needs: needNumber, gives: givesOne(typeInteger)},
	"truncate": {eval: (*run).fnTruncate, needs: needNumber, gives: givesOne(typeInteger)},
	"round":    {eval: (*run).fnRound, most: 1, needs: needNumber, gives: givesOne(typeDecimal)},
	"exp":      {eval: (*run).fnExp, needs: needNumber, gives: givesOne(typeDecimal)},
	"ln":       {eval: (*run).fnLn, needs: needNumber, gives: givesOne(typeDecimal)},
	"log":      {eval: (*run).fnLog, least: 1, most: 1, needs: needNumber, gives: givesOne(typeDecimal)},
	"power":    {eval: (*run).fnPower, least: 1, most: 1, needs: needNumber, gives: givesItem},
	"sqrt":     {eval: (*run).fnSqrt, needs: needNumber, gives: givesOne(typeDecimal)},
	// the tree
	"children":    {eval: (*run).fnChildren, gives: givesUnordered},
	"descendants": {eval: (*run).fnDescendants, gives: givesUnordered},
	// utilities
	"trace":          {eval: (*run).fnTrace, least: 1, most: 2, loop: true, gives: givesSame},
	"now":            {eval: fnClock(KindDateTime), gives: givesOne(typeDateTime)},
	"today":          {eval: fnClock(KindDate), gives: givesOne(typeDate)},
	"timeOfDay":      {eval: fnClock(KindTime), gives: givesOne(typeTime)},
	"defineVariable": {eval: (*run).fnDefineVariable, least: 1, most: 2, loop: true, gives: givesDefined},
	"lowBoundary":    {eval: fnBoundary(false), most: 1, gives: givesItem},
	"highBoundary":   {eval: fnBoundary(true), most: 1, gives: givesItem},
	"precision":      {eval: (*run).fnPrecision, gives: givesOne(typeInteger)},
	"comparable":     {eval: (*run).fnComparable, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"aggregate":      {eval: (*run).fnAggregate, least: 1, most: 2, loop: true, gives: givesAnything},
	// types
	"type": {eval: (*run).fnType, gives: givesOne(typeClass)},
	"is":   {eval: (*run).fnIs, gives: givesOne(typeBoolean)},
	"as":   {eval: (*run).fnAs, gives: givesTyped},
	// what FHIR adds (https://hl7.org/fhir/R4/fhirpath.html#functions)
	"extension":         {eval: (*run).fnExtension, least: 1, most: 1, gives: givesFHIR("Extension", true)},
	"hasValue":          {eval: (*run).fnHasValue, gives: givesOne(typeBoolean)},
	"getValue":          {eval: (*run).fnGetValue, gives: givesValue},
	"resolve":           {eval: (*run).fnResolve, gives: givesAnything},
	"elementDefinition": {eval: (*run).fnElementDefinition, gives: givesFHIR("ElementDefinition", true)},
	"slice":             {eval: (*run).fnSlice, least: 2, most: 2, gives: givesSame},
	"checkModifiers":    {eval: (*run).fnCheckModifiers, most: many, gives: givesSame},
	"conformsTo":        {eval: (*run).fnConformsTo, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"memberOf":          {eval: (*run).fnMemberOf, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"subsumes":          {eval: (*run).fnSubsumes, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"subsumedBy":        {eval: (*run).fnSubsumes, least: 1, most: 1, gives: givesOne(typeBoolean)},
	"htmlChecks":        {eval: (*run).fnHTMLChecks, gives: givesOne(typeBoolean)},
	"htmlChecks2":       {eval: (*run).fnHTMLChecks, gives: givesOne(typeBoolean)},
}

// The arguments of a call.

// argument evaluates the i-th argument on the focus. The results stay on the stack until the caller drops them.
func (r *run) argument(n *call, i int) ([]Value, error) { return r.sub(n.args[i]) }

// argumentOn evaluates the i-th argument with in as the focus.
func (r *run) argumentOn(n *call, i int, in []Value) error {
	this, vars := r.this, r.vars
	r.this = in
	err := n.args[i].eval(r, in)
	r.this, r.vars = this, vars
	return err
}

// stringArgument is the i-th argument as one string.
func (r *run) stringArgument(n *call, i int) (string, bool, error) {
	mark := len(r.stack)
	values, err := r.argument(n, i)
	if err != nil {
		return "", false, err
	}
	s, ok, err := oneString(values, n.at, "an argument of "+n.name+"()")
	r.drop(mark)
	return s, ok, err
}

// integerArgument is the i-th argument as one integer.
func (r *run) integerArgument(n *call, i int) (int64, bool, error) {
	mark := len(r.stack)
	values, err := r.argument(n, i)
	if err != nil {
		return 0, false, err
	}
	k, ok, err := oneInteger(values, n.at, "an argument of "+n.name+"()")
	r.drop(mark)
	return k, ok, err
}

// input is the one value that a function works on.
func (n *call) input(in []Value) (Value, bool, error) {
	return single(in, n.at, "the input of "+n.name+"()")
}

func (n *call) stringInput(in []Value) (string, bool, error) {
	return oneString(in, n.at, "the input of "+n.name+"()")
}

func (n *call) fail(format string, args ...any) *Error {
	return failure(Execution, n.at, n.name+"(): "+format, args...)
}
