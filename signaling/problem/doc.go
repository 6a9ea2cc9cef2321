// Package problem is the one form that errors of the API have: problem+json
// (RFC 9457) with a stable code, and a text in the language of the person who
// asked, Vietnamese unless Accept-Language prefers English.
//
// [Of] knows the errors of all packages below the API and makes [Details] of
// them. Importing this package also makes huma answer with Details, so a
// handler returns the error of the package it called, as it is.
//
// An answer looks like this; errors names the members that are wrong, where it is
// about members:
//
//	{"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
//	 "detail": "Mã: không được để trống", "code": "required",
//	 "errors": [{"field": "code", "code": "required", "detail": "Mã: không được để trống"}]}
package problem
