/*
 * math.h - acos, sin, cos, exp and log of f64 that give the same bits on every machine: libm chooses variants by
 * processor and changes between releases, so results that are hashed must not pass through it. Not a libm: no errno, no
 * exception flags; NaN in gives NaN out. Largest errors met by tests/unit/test_math.c are below 1 ulp.
 */
#ifndef AM_BASE_MATH_H
#define AM_BASE_MATH_H

double am_acos(double x); /* radians in [0, pi]; NaN outside [-1, 1] */
double am_sin(double x);  /* x in radians, of any size; NaN for infinities */
double am_cos(double x);
double am_exp(double x); /* infinity above 709.78..., 0 below -745.13... */
double am_ln(double x);  /* -infinity for 0, NaN below 0 */

#endif
