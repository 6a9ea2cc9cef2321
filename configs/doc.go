// Package configs reads the configuration of diemcau.
//
// A configuration is built from layers, each overriding the one before it:
//
//  1. reference.yaml, embedded in the binary: it documents every key and its
//     values are the defaults;
//  2. the demonstration's values, with [Demo];
//  3. the YAML file named to [Load];
//  4. environment variables DIEMCAU_SECTION__KEY;
//  5. command-line flags, with [Flag].
//
// Every layer is decoded strictly: unknown keys, keys given twice and values
// of the wrong type are errors. Load reports all of them at once, each with
// its place, and not only the first.
//
// Only the main package imports configs; the others take plain values.
package configs
