// Package sandbox runs template text from outside: pongo2's syntax or Jinja2's,
// with params as the only names, bounded in steps, output and time, and with
// every value escaped for the place it is printed in.
//
//	text ─ token ─► tokens ─ parse ─► tree ─ Run ─► output, escaped for its position
//	       pongo2's lexer,   one grammar  one evaluator:
//	       or Jinja2's                    value, filter, method, escape
//
// # How pongo2 is used
//
// pongo2 reads the text: its lexer, its tokens with their positions. What the
// tokens mean is decided here, by one tag of ours that takes in the whole
// document, because pongo2's own evaluator has no hooks for what is promised:
// it prints nothing for an unknown name, has no loop limit, cannot be stopped,
// prints 3.0 as 3.000000, reads "a and b or c" from the right, and panics on
// 1/0. Its tags (ssi, include, import, extends, macro, cycle, …) never see a
// token, so none of them can run.
//
// # Jinja2
//
// The engine jinja2 reads Jinja2 3.1 with StrictUndefined: besides the language
// below its statements, expressions, filters, tests, functions, and the methods
// of Python's texts, lists and dicts that change nothing. It prints null, lists
// and objects as Python does. A test asks Jinja2 itself about both engines:
// nothing that pongo2 takes may differ from it without a word. In both, line
// ends are \n, and one at the end of the text is dropped.
//
// # The language
//
//	{{ expression }}                      print
//	{# remark #}  {% comment %}…{% endcomment %}  {% verbatim %}…{% endverbatim %}
//	{% if e %}…{% elif e %}…{% else %}…{% endif %}
//	{% for x in list %}…{% empty %}…{% endfor %}     also {% for key, value in object.items() %}
//	{% set x = e %}   {% with x=e y=e %}…{% endwith %}
//	{{- … -}} {%- … -%}                   take the white space on that side away
//
//	a.b.0  a["b"]  "text"  1  1.50  true  none  [a, b]  (e)
//	not  and  or  ==  !=  <  <=  >  >=  in  not in  is [not] defined  is [not] none
//	+  -  *  /  %    x if condition else y
//	value|filter   value|filter:argument   value|filter(argument)
//
// In a loop, loop has index, index0, revindex, revindex0, first, last and
// length, as in Jinja2; forloop has Counter, Counter0, Revcounter, Revcounter0,
// First and Last, as in pongo2.
//
// A name is a member of params; params itself is the whole object. A name that
// is not there is an error, unless |default or "is defined" asks for it.
//
// Numbers print as Python prints them: whole ones with all their digits, up to
// 1,000, others as a float. One that is too large for a float is an error.
// Booleans print as True and False (in JSON outside a string: true and false),
// as in pongo2 and Jinja2. null, lists and objects do not print: the author says
// |tojson, |join or |default_if_none.
//
// # Escaping
//
// A value cannot leave the place it is printed in. What the place asks for is
// the Position of the program; |safe prints text as it is.
//
//	JSON    inside a string: escaped as the content of a JSON string;
//	        outside: numbers, booleans, null, lists and objects as JSON; text
//	        must say |tojson
//	URL     first of all: as it is (a base URL); in the host: letters, digits
//	        and .-_:[] only; in the path: as one segment, not an empty one; in
//	        the query: as a value. |urlencode, |urlpath and |formencode are not
//	        encoded again, but for slashes in the path
//	Form    as the value of a form field
//	XML     the five predefined entities
//	Text    as it is
package sandbox
