// Package architecture is tests only: the rules that keep the packages of this repository apart.
//
// rules_test.go is the table "who may import whom" and the other rules as data. check_test.go holds the
// checks: pure functions over parsed source, so that fabricated packages can show each of them failing.
// architecture_test.go runs them over the repository.
//
// The rules bind every file of the module that is not a test, for every platform and build tag, since
// sources are parsed and not built. A package, a top-level entry or a dependency that no rule names is
// refused: whoever adds one adds its row, and says why there.
//
// What is not checked: what a test imports, and what an allowed dependency does at run time.
//
// The package lies apart from cmd/heyan so that it still runs when the rest does not compile.
package architecture
