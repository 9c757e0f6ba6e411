package protovalue

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// degreeOfExpression is the power of a message's size that the steps of an expression may grow with: 1 for a loop over a list, 2 for a loop in a loop.
// A loop over what belongs to the element of the loop around it counts once with that, since all such elements together are no more than the message has.
// It may be too large, which costs some counting, and must not be too small.
func degreeOfExpression(of *cel.Ast) int {
	d := degrees{of.NativeRep()}
	return d.of(d.ast.Expr(), nil)
}

type degrees struct{ ast *ast.AST }

// of is the degree of a part of an expression. element are the names of what the innermost loop goes over, nil outside of loops.
func (d degrees) of(e ast.Expr, element []string) (degree int) {
	most := func(all ...ast.Expr) {
		for _, e := range all {
			degree = max(degree, d.of(e, element))
		}
	}
	switch e.Kind() {
	case ast.SelectKind:
		most(e.AsSelect().Operand())
	case ast.ListKind:
		most(e.AsList().Elements()...)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			most(entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			most(field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		most(loop.IterRange(), loop.AccuInit(), loop.Result())
		names, times := []string{loop.IterVar(), loop.IterVar2()}, 1
		switch {
		case loop.IterRange().Kind() == ast.ListKind:
			times, names = 0, element
		case d.belongs(loop.IterRange(), element):
			times = 0
		case !d.stored(loop.IterRange()):
			names = nil // lists that are made may have the same part of the message in each element
		}
		for _, body := range []ast.Expr{loop.LoopCondition(), loop.LoopStep()} {
			degree = max(degree, times+d.of(body, names))
		}
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		if call.IsMemberFunction() {
			args = append([]ast.Expr{call.Target()}, args...)
		}
		most(args...)
		degree = max(degree, d.call(call.FunctionName(), args, element))
	}
	return degree
}

// stored says whether a value stands in the message as it is.
func (d degrees) stored(e ast.Expr) bool {
	for e.Kind() == ast.SelectKind {
		e = e.AsSelect().Operand()
	}
	return e.Kind() == ast.IdentKind
}

// belongs says whether a value is a part of what the innermost loop goes over.
func (d degrees) belongs(e ast.Expr, element []string) bool {
	for {
		switch e.Kind() {
		case ast.SelectKind:
			e = e.AsSelect().Operand()
		case ast.IdentKind:
			return slices.Contains(element, e.AsIdent())
		default:
			return false
		}
	}
}

// call is the degree of a call itself, by its arguments that are no constants and not of a bounded size.
func (d degrees) call(function string, args []ast.Expr, element []string) int {
	switch function {
	case "_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false", "_[_]", "_-_", "_*_", "_/_", "_%_", "-_", "_?._", "_[?_]":
		return 0
	}
	equal := function == "_==_" || function == "_!=_"
	var sized []ast.Expr
	for i, a := range args {
		constant := a.Kind() == ast.LiteralKind || a.Kind() == ast.ListKind && function == "@in"
		t := d.ast.GetType(a.ID())
		switch t.Kind() {
		case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.NullTypeKind, types.TimestampKind, types.DurationKind:
			constant = true
			if equal {
				return 0 // the other one has the type too, or is not looked at
			}
		case types.ListKind, types.MapKind:
			constant = constant || function == "size" || function == "_+_" || function == "@in" && i == 1 && t.Kind() == types.MapKind
		}
		if constant && (equal || function == "@in" && i == 1) {
			return 0
		}
		if !constant {
			sized = append(sized, a)
		}
	}
	belonging := 0
	for _, a := range sized {
		if d.belongs(a, element) {
			belonging++
		}
	}
	switch {
	case equal && belonging > 0: // it ends with the smaller one
		return 0
	case (function == "_+_" || len(sized) < 2) && belonging == len(sized):
		return 0
	case equal || function == "_+_":
		return 1
	}
	return len(sized)
}
