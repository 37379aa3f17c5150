"""Histories of concurrent calls: could they have taken effect one after the other, each between its call and its return?"""
